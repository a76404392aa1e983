-- Routes by pattern, with several next hops, closed for a while or until somebody asks; and the
-- ways of senders.

alter table routes
  add column hops text[] not null default '{}',  -- as posthouse.mail.hops writes them
  add column hold boolean not null default false,-- only on request (ETRN, the operator)
  add column open_at text;                       -- when it is open (posthouse.mail.windows); null: always

update routes
   set hops = array['smtp:' || case when host like '%:%' then '[' || trim(both '[]' from host) || ']'
                                    else lower(host) end || ':' || port];

alter table routes
  alter column hops drop default,
  add constraint routes_hops check (cardinality(hops) > 0),
  drop column host,
  drop column port;

-- Whose mail goes by a server of its own, where no route but '*' fits.
create table relays (
  sender      text primary key,                  -- an address, @domain, @.domain or <>
  hops        text[] not null check (cardinality(hops) > 0),
  username    text,
  password    text
);
