-- Contents that lost a message are noted 200 in a row: a row for each, and its entry in the index, cost more than
-- removing the messages. 200 numbers lie in the row itself, uncompressed.
alter table expunged add column contents bigint[];
update expunged set contents = array[content_id];
alter table expunged drop column content_id, alter column contents set not null;

create or replace function note_expunged() returns trigger language plpgsql as $$
begin
  insert into expunged (account_id, contents)
  select account_id, array_agg(content_id)
    from (select account_id, content_id, (row_number() over () - 1) / 200 as part from gone) numbered
   group by account_id, part;
  return null;
end $$;
