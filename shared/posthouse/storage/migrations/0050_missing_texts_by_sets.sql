-- As in migration 0047, but never by a join: who believes the tables nearly empty, as the planner does of a new
-- account, looked through all texts for each of the contents. Some thousands at a time, so that a limit ends it early.
create or replace function missing_texts(account bigint, after bigint, upto bigint, with_bodies boolean, most bigint)
  returns table (content_id bigint, lacks_header boolean, has_body boolean) language plpgsql stable as $$
#variable_conflict use_column
declare
  begun bigint := after;
  ended bigint;
  given bigint := 0;
  more bigint;
begin
  loop
    select max(content_id) into ended
      from (select content_id from contents where account_id = account and content_id > begun and content_id <= upto
             order by content_id limit 20000) looked;
    exit when ended is null;
    return query
      select content_id, true, false
        from (select content_id from contents where account_id = account and content_id > begun and content_id <= ended
              except
              select content_id from search where account_id = account and content_id > begun and content_id <= ended
             ) without_header
      union all
      select content_id, false, body_f is not null from search
       where with_bodies and account_id = account and content_id > begun and content_id <= ended
         and grams is null and (body_f is null or lacks_documents)
       order by 1 limit most - given;
    get diagnostics more = row_count;
    given := given + more;
    exit when given >= most;
    begun := ended;
  end loop;
end $$;
