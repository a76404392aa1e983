-- Reports that others sent us on their TLS sessions with our servers (RFC 8460), each on one domain.

create table tls_received (
  message       uuid not null,                 -- that brought it
  came_at       timestamptz not null default now(),
  organization  text not null,                 -- who reports, in their words
  report_id     text not null,
  domain        text not null,
  begins        timestamptz not null,
  ends          timestamptz not null,
  signed_by     text not null,                 -- whose DKIM signatures of the mail hold
  sessions      bigint not null,
  passed        bigint not null,               -- without a failure
  rows          jsonb not null,                -- by policy, failure and source
  primary key (message, domain),
  unique (signed_by, organization, report_id, domain)
);
create index tls_received_domain on tls_received (domain, begins);
create index tls_received_came on tls_received (came_at);

-- A forged report does not stand in the way of the genuine one of the same name.
alter table dmarc_received
  drop constraint dmarc_received_organization_report_id_domain_key,
  add unique (signed_by, organization, report_id, domain);

-- A report whose signature cannot be asked for now waits for DNS.
alter table incoming_reports add column again_at timestamptz;
