-- What of an account's contents is not searchable yet, from the first after one to another, ascending, so many at most.
-- The planner cannot know how many there are: both indexes are read side by side, however few it thinks they have.
create function missing_texts(account bigint, after bigint, upto bigint, with_bodies boolean, most bigint)
  returns table (content_id bigint, lacks_header boolean, has_body boolean)
  language sql stable
  set enable_nestloop = off set enable_hashjoin = off set enable_sort = off set enable_seqscan = off as $$
    select c.content_id, true, false from contents c
     where c.account_id = $1 and c.content_id > $2 and c.content_id <= $3
       and not exists (select from search s where s.account_id = $1 and s.content_id = c.content_id
                          and s.content_id > $2 and s.content_id <= $3)
    union all
    select s.content_id, false, s.body_f is not null from search s
     where $4 and s.account_id = $1 and s.content_id > $2 and s.content_id <= $3
       and s.grams is null and (s.body_f is null or s.lacks_documents)
     order by 1 limit $5
$$;
