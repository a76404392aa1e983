-- What DMARC made of mail from outside, by day and policy domain, for reports (RFC 7489 §7.2).
create table dmarc_results (
  day       date not null,
  domain    text not null,                     -- whose policy it is
  key       uuid not null,                     -- of facts
  facts     text not null,                     -- JSON: posthouse.storage.dmarc_results.Facts
  messages  bigint not null,
  primary key (day, domain, key)
);

-- What became of the report on a day to a domain.
create table dmarc_reports (
  day       date not null,
  domain    text not null,
  first_at  timestamptz not null,
  again_at  timestamptz,
  done_at   timestamptz,
  how       text not null,
  primary key (day, domain)
);

-- Reports that others sent us on mail that claimed to be of our domains.
create table dmarc_received (
  message       uuid primary key,              -- that brought it
  came_at       timestamptz not null default now(),
  organization  text not null,                 -- who reports, in their words
  report_id     text not null,
  domain        text not null,
  begins        timestamptz not null,
  ends          timestamptz not null,
  signed_by     text not null,                 -- whose DKIM signature of the mail holds; empty: nobody's
  messages      bigint not null,
  passed        bigint not null,               -- DMARC
  rows          jsonb not null,                -- by source
  unique (organization, report_id, domain)
);
create index dmarc_received_domain on dmarc_received (domain, begins);
create index dmarc_received_came on dmarc_received (came_at);
