-- Who is removed leaves nothing behind in other people's mailboxes: an account or alias made later under the
-- same address is another one, and must not find the rights of the first.
create index annotations_reader on annotations (reader) where reader <> 0;

create function forget_identifiers(names text[]) returns void language sql as $$
  update mailboxes set acl = nullif(acl - names, '{}') where acl ?| names
$$;

create function forget_accounts() returns trigger language plpgsql as $$
begin
  perform forget_identifiers(array_agg(address) || array_agg('-' || address)) from gone;
  delete from annotations a using gone g where a.reader = g.account_id and a.reader <> 0;
  return null;
end $$;
create trigger forget_accounts after delete on accounts referencing old table as gone
  for each statement execute function forget_accounts();

create function forget_groups() returns trigger language plpgsql as $$
begin
  perform forget_identifiers(array_agg('group:' || address) || array_agg('-group:' || address)) from gone;
  return null;
end $$;
create trigger forget_groups after delete on aliases referencing old table as gone
  for each statement execute function forget_groups();
