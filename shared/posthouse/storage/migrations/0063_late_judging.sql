-- Mail that is judged after it was accepted: what it will stand under, until that is written.
alter table envelopes
  add column header bytea;      -- with `unjudged`: it is judged, and its object is to be written so

-- What waits to be judged before it is routed (no road yet) is among those that wait, too.
create or replace function keep_waiting() returns trigger language plpgsql as $$
declare
  words text := words_said(new.status, new.reply, new.host);
begin
  if new.state not in ('deferred', 'held') or (new.road = 'local' and new.state <> 'held') then
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
