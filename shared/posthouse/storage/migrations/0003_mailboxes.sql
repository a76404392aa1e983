-- Mailboxes: narrow, hot rows for messages; what never changes stands in contents.
-- Every key begins with the account, the future distribution column. No foreign keys below mailboxes:
-- a check per filed message would cost more than filing it; whoever deletes a mailbox deletes its rows.

-- Rising and never given twice: a mailbox made again under an old name is another one (RFC 3501 §2.3.1.1).
create sequence uidvalidities;

create table mailboxes (
  account_id  bigint not null references accounts on delete cascade,
  mailbox_id  bigint generated always as identity,
  name        text not null,                     -- UTF-8, hierarchy by '/'
  uidvalidity bigint not null default nextval('uidvalidities'),
  uidnext     bigint not null default 1,
  recent_uid  bigint not null default 1,         -- no session was told yet of this UID or a later one: \Recent
  modseq      bigint not null default 1,
  exists_     int not null default 0,
  octets      bigint not null default 0,         -- quota is the sum over an account's mailboxes
  special_use text,                              -- \Sent, \Drafts ... (RFC 6154)
  subscribed  boolean not null default true,
  primary key (account_id, mailbox_id),
  unique (account_id, name)
) with (fillfactor = 50);

-- Names that are subscribed to and have no mailbox (RFC 3501 §6.3.6: deleting one keeps its subscription).
create table subscriptions (
  account_id  bigint not null references accounts on delete cascade,
  name        text not null,
  primary key (account_id, name)
);

-- flags: bits of \Seen 1, \Answered 2, \Flagged 4, \Deleted 8, \Draft 16.
create table messages (
  account_id   bigint not null,
  mailbox_id   bigint not null,
  content_id   bigint not null,
  modseq       bigint not null,
  internaldate timestamptz not null,
  savedate     timestamptz not null,
  uid          bigint not null,
  flags        int not null default 0,
  size         int not null,                     -- RFC822.SIZE: prefix and object
  keywords     int[],
  primary key (account_id, mailbox_id, uid)
) with (fillfactor = 85);

create table contents (
  account_id    bigint not null,
  content_id    bigint generated always as identity,
  object_id     uuid not null,
  size          int not null,                    -- octets of the object, without the prefix
  prefix        bytea not null default '',       -- Return-Path, Delivered-To: what differs per recipient
  envelope      bytea not null,
  bodystructure bytea not null,
  header        bytea not null,                  -- the object's header octets
  parts         bytea not null,
  primary key (account_id, content_id)
);

-- Folded text for SEARCH, made when a search first needs it.
create table search (
  account_id bigint not null,
  content_id bigint not null,
  from_f text not null, to_f text not null, cc_f text not null, subject_f text not null,
  header_f text not null, body_f text,
  primary key (account_id, content_id)
);

-- One row per step of a mailbox's modseq; answers "what since modseq N" (RFC 7162). Steps are of 1,
-- so a gap tells a reader that history was pruned and the whole mailbox must be read.
-- data by kind:  a  first and last UID, int8 each
--                f  pack_flags() of the messages changed
--                e  UIDs, int8 each
create table changes (
  account_id bigint not null,
  mailbox_id bigint not null,
  modseq     bigint not null,
  kind       "char" not null,                    -- a added, f flags, e expunged
  data       bytea not null,
  primary key (account_id, mailbox_id, modseq)
);

create table keywords (
  account_id bigint not null references accounts on delete cascade,
  keyword_id int not null,
  name       text not null,
  primary key (account_id, keyword_id),
  unique (account_id, name)
);
