-- Rules that messages are scored by, levels of scores, and what would change by those in the shadow.
create table rule_sets (
  name        text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
  state       text not null default 'draft' check (state in ('draft', 'shadow', 'live')),
  changed_at  timestamptz not null default now(),
  changed_by  text not null
);
create table rules (
  rule_set    text not null references rule_sets on delete cascade,
  name        text not null,
  place       integer not null,                -- in the set
  kind        text not null
              check (kind in ('header', 'body', 'rawbody', 'full', 'uri', 'meta', 'score')),
  source      text not null,
  scores      float8[] not null,               -- none, one or four
  about       text not null default '',
  flags       text[] not null default '{}',
  own_score   float8,                          -- an operator's; outlives a new import
  own_state   text check (own_state in ('disabled', 'shadow')),
  primary key (rule_set, name)
);
create index rules_by_name on rules (name, rule_set);
create table rules_version (version bigint not null);  -- one row
insert into rules_version values (1);
create table spam_levels (
  state       text primary key check (state in ('shadow', 'live')),
  tag         float8 not null,
  quarantine  float8 not null,
  reject      float8 not null,
  changed_at  timestamptz not null default now(),
  changed_by  text not null,
  check (tag <= quarantine and quarantine <= reject)
);
create table shadow_differences (
  day         date not null,
  name        text not null,
  was         text not null,
  would_be    text not null,
  messages    bigint not null,
  examples    uuid[] not null default '{}',
  primary key (day, name, was, would_be)
);
