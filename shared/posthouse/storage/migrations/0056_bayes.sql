-- What the classifier has learned (posthouse.storage.bayes). Owner 0 is the house, others are accounts; no
-- foreign key, so that removing an account with a hundred thousand tokens does not wait: a duty forgets them.
create table bayes_corpora (
  owner   bigint primary key,
  spam    bigint not null default 0,          -- messages
  ham     bigint not null default 0,
  tokens  bigint not null default 0           -- when they were last counted
);
create index bayes_corpora_least on bayes_corpora (least(spam, ham));  -- who has learned enough

-- Tokens are 64 bits of a hash: nothing that people wrote can be read here.
create table bayes_tokens (
  owner  bigint not null,
  token  bigint not null,
  spam   int not null,                        -- messages it was in
  ham    int not null,
  seen   date not null,                       -- when it was last learned
  primary key (owner, token)
) partition by hash (owner);

-- Which messages were learned as what, so that each counts once.
create table bayes_lessons (
  owner    bigint not null,
  digest   bytea not null,
  is_spam  boolean not null,
  learned  date not null,
  primary key (owner, digest)
) partition by hash (owner);

do $$
begin
  for n in 0..7 loop
    execute format('create table bayes_tokens_%s partition of bayes_tokens
                      for values with (modulus 8, remainder %s) with (fillfactor = 80)', n, n);
    execute format('create table bayes_lessons_%s partition of bayes_lessons
                      for values with (modulus 8, remainder %s)', n, n);
  end loop;
end $$;

-- Messages of mailboxes that wait to be learned.
create table bayes_wishes (
  owner       bigint not null,
  account_id  bigint not null references accounts on delete cascade,
  content_id  bigint not null,
  is_spam     boolean not null,
  wished      timestamptz not null default now(),
  tries       int not null default 0,
  primary key (owner, account_id, content_id)
);
create index bayes_wishes_wished on bayes_wishes (wished);
create index bayes_wishes_account on bayes_wishes (account_id);
