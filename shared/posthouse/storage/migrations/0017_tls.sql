-- TLS to servers outside: what operators demand, what others publish, how sessions went.

create table tls_policies (
  domain      text primary key,                  -- '*' for all that have none of their own
  level       text not null check (level in ('none', 'may', 'encrypt', 'verify', 'fingerprint')),
  names       text[] not null default '{}',      -- servers that the domain may have; empty: any
  pins        text[] not null default '{}',      -- SHA-256 of certificate or key, in hex
  certificate boolean not null default false     -- our client certificate is shown
);

-- MTA-STS (RFC 8461), for all pods. Without a fetched_at there is no policy, only a failure.
create table sts_policies (
  domain      text primary key,
  id          text not null default '',
  mode        text,
  mx          text[] not null default '{}',
  max_age     int not null default 0,            -- seconds
  fetched_at  timestamptz,
  tried_at    timestamptz not null,
  tried_id    text not null,
  fault       text not null default ''
);

-- Sessions by day and policy domain, for reports (RFC 8460); those that went well have no failure.
create table tls_results (
  day         date not null,
  domain      text not null,
  kind        text not null,                     -- tlsa, sts, no-policy-found
  failure     text not null,
  host        text not null,
  address     text not null,
  why         text not null,
  policy      text not null,                     -- what was published, lines
  sessions    bigint not null,
  primary key (day, domain, kind, failure, host, address)
);

-- What became of the report on a day with a domain.
create table tls_reports (
  day         date not null,
  domain      text not null,
  first_at    timestamptz not null,
  again_at    timestamptz,
  done_at     timestamptz,
  how         text not null,
  primary key (day, domain)
);
