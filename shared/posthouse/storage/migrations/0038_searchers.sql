-- Accounts of which texts are searched: the indexer works for these, unless it is told to work for all.
create table searchers (
  account_id bigint primary key references accounts on delete cascade,
  last_on    date not null default current_date  -- when it searched last
);
