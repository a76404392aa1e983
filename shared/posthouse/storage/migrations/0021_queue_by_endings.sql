-- Addresses of one domain are found by their endings: read backwards they are neighbours.

drop index waiting_sender;
drop index waiting_address;
drop index waiting_domain;
create index waiting_sender on waiting (reverse(lower(sender)) collate "C", envelope, n);
create index waiting_address on waiting (reverse(lower(address)) collate "C", envelope, n);
create index waiting_domain on waiting (reverse(domain) collate "C", envelope, n);
