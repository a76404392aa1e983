-- Sealers that are believed when they say that DMARC passed before they changed a message (RFC 8617).
create table arc_sealers (
  domain  text primary key,                    -- d= of their seals, in A-labels
  note    text not null default '',
  since   timestamptz not null default now()
);
