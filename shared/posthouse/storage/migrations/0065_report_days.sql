-- A report that goes by mail and by post: that the mail went is noted by itself.

alter table tls_reports add column mailed_at timestamptz;
alter table dmarc_reports add column mailed_at timestamptz;
update tls_reports set mailed_at = first_at where done_at is null and how not like 'DNS gave no answer%';
