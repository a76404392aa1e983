-- What an import brought, as the other server had it then: when it is run again, what changed there since is
-- changed here, and what people have changed here stays.
create table imports (
  account_id  bigint not null,
  mailbox_id  bigint not null,
  old_uid     bigint not null,
  uid         bigint not null,
  flags       int not null,
  keywords    int[] not null,
  primary key (account_id, mailbox_id, old_uid),
  foreign key (account_id, mailbox_id) references mailboxes on delete cascade
);
