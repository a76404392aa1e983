-- TLS with others: operators can demand DANE, and reports tell from where our sessions came.

alter table tls_policies
  drop constraint tls_policies_level_check,
  add constraint tls_policies_level_check
      check (level in ('none', 'may', 'encrypt', 'verify', 'fingerprint', 'dane-only'));

alter table tls_results
  add column source text not null default '',       -- of failures: the address of ours; empty: behind NAT
  drop constraint tls_results_pkey,
  add primary key (day, domain, kind, failure, host, address, source);
