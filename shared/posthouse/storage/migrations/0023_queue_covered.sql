-- What is counted by domain, sender and recipient is counted in the indexes alone: they hold the columns
-- too that their expressions are made of, without which PostgreSQL would go to the table for each row.

drop index waiting_domain;
drop index waiting_sender;
drop index waiting_address;
create index waiting_domain on waiting (reverse(domain) collate "C", envelope, n) include (domain);
create index waiting_sender on waiting (reverse(lower(sender)) collate "C", envelope, n) include (sender);
create index waiting_address on waiting (reverse(lower(address)) collate "C", envelope, n) include (address);

-- That works for pages that were vacuumed since they changed, so those are to be most.
alter table waiting set (autovacuum_vacuum_insert_scale_factor = 0.02);
