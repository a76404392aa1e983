-- Maps of addresses (posthouse.mail.maps): one row for each entry, of all maps.
create table map_entries (
  key       text not null,                       -- anna@a.test, anna@, /pattern/, @a.test, @.a.test, *
  kind      text not null,                       -- which map
  targets   text[] not null,                     -- what becomes of it
  primary key (key, kind)                        -- looked up with all that an address means
);
create index map_entries_kind on map_entries (kind, key);
create index map_entries_patterns on map_entries (kind, key) where key like '/%';

-- What parts a local part from its detail (RFC 5233): some of + - =
alter table domains add column delimiters text not null default '+';

-- What a map holds on its way to a mailbox here waits for an operator, too. Only then is such a
-- recipient among those that wait; deferred ones are not.
create or replace function keep_waiting() returns trigger language plpgsql as $$
declare
  words text := words_said(new.status, new.reply, new.host);
begin
  if new.state not in ('deferred', 'held')
     or (new.road is distinct from 'remote' and new.state <> 'held') then
    delete from waiting where envelope = new.envelope and n = new.n;
  elsif old.state in ('deferred', 'held') then
    update waiting set held = (new.state = 'held'), said = words
     where envelope = new.envelope and n = new.n
       and (held, said) is distinct from (new.state = 'held', words);
  else
    insert into waiting (envelope, n, day, address, domain, sender, tenant, held, said)
    select new.envelope, new.n, new.day, new.address, coalesce(new.domain, ''),
           coalesce(new.sender, e.sender),
           tenant_of(e.auth, new.sender, e.sender), new.state = 'held', words
      from envelopes e where e.day = new.day and e.id = new.envelope
        on conflict (envelope, n) do update set held = excluded.held, said = excluded.said;
  end if;
  return null;
end
$$;
