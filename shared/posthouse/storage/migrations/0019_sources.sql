-- From where mail leaves for the world: addresses of ours in pools, and whose mail uses which.

create table sources (
  address     text primary key,
  pool        text not null,
  hostname    text not null,                     -- said in EHLO
  warm_up     int[] not null default '{}',       -- messages on the first day, the second, ...
  since       date not null                      -- the first day, UTC
);

create table source_uses (
  sender      text not null,                     -- a pattern; '*' for everybody
  domain      text not null,                     -- likewise
  pool        text not null,                     -- 'none': as the machine sends it
  primary key (sender, domain)
);
