-- The unique ids that messages had at the POP3 server they were moved from (RFC 1939 §7 UIDL): a
-- client that left them there must not fetch them all again. Only imported messages have a row, and
-- only the one of this UID: a copy of it is another message, with an id of its own.
create table uidls (
  account_id  bigint not null references accounts on delete cascade,
  content_id  bigint not null,
  mailbox_id  bigint not null,
  uid         bigint not null,
  uidl        text not null,
  primary key (account_id, content_id)
);
-- No two messages of a maildrop have the same.
create unique index uidls_by_name on uidls (account_id, mailbox_id, uidl);

-- Up to which of the other server's UIDs messages were imported: an import that is begun anew goes on.
alter table mailboxes add column imported_uid bigint not null default 0;
