-- The ledger: every message we answered 250 for, every recipient, what became of each.
-- Partitioned by the UTC day that the id tells; old partitions are dropped whole.
--
-- recipients.state:
--   accepted   250 was said, not yet routed
--   routed     on its way to a mailbox or to the outside
--   deferred   will be tried again at next_attempt_at
--   dead       lies in the dead letters
--   expanded   replaced by other recipients (alias, group, forward), see their parent
--   delivered  relayed  bounced  discarded     the ends (promise 4)
-- settled_at is set exactly in the ends and in 'expanded'.

create table envelopes (
  day         date not null,
  id          uuid not null,
  accepted_at timestamptz not null,
  origin      text not null,                     -- smtp, submission, bounce
  sender      text not null,                     -- '' is the null path
  size        int not null,
  body        text not null default '7BIT',
  smtputf8    boolean not null default false,
  client      text not null default '',          -- address and HELO name of who gave it to us
  auth        text not null default '',          -- the account that submitted it
  message_id  text not null default '',          -- the Message-ID field, for searching
  subject_id  uuid,                              -- for a bounce: the message it speaks of
  primary key (day, id)
) partition by range (day);
-- Ids sort by time, so these find the newest first, page by page, over all partitions.
create index envelopes_message_id on envelopes (message_id, id) where message_id <> '';
create index envelopes_sender on envelopes (sender, id);

create table recipients (
  day             date not null,
  envelope        uuid not null,
  n               int not null,
  address         text not null,                 -- as accepted, or the target of an expansion
  state           text not null default 'accepted',
  parent          int,                           -- the recipient whose expansion this is
  sender          text,                          -- envelope sender of this branch if rewritten (SRS, group owner)
  road            text,                          -- local, remote
  account_id      bigint,                        -- where road is local
  folder          text,                          -- plus detail asked for, then the mailbox it was filed in
  domain          text,                          -- where road is remote: next hop domain
  routed_at       timestamptz,
  attempts        int not null default 0,
  warned          boolean not null default false,
  next_attempt_at timestamptz,
  status          text,                          -- last reply: code and enhanced code
  reply           text,                          -- last reply: text
  host            text,                          -- who gave it
  uid             bigint,                        -- where delivered: the UID in the mailbox
  settled_at      timestamptz,
  primary key (day, envelope, n)
) partition by range (day);
create index recipients_address on recipients (address, envelope);
-- Only what waits is in here, so ordinary mail keeps its updates heap-only.
create index recipients_waiting on recipients (next_attempt_at) where next_attempt_at is not null;

-- What was committed and not yet published: written with the envelope, deleted after the confirm.
-- Whatever is in here for longer than some seconds, the sweeper publishes.
create table unpublished (
  id     uuid primary key,
  since  timestamptz not null default now()
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The trace: what the ledger's rows do not tell by themselves (attempts, replies, reads ...).
create table events (
  day       date not null,
  envelope  uuid not null,
  at        timestamptz not null,
  recipient int,
  service   text not null,
  what      text not null,                       -- constant phrase in past tense
  detail    text not null default ''
) partition by range (day);
create index events_envelope on events (envelope);

-- Dead letters: filed here from the <road>.dead queues, so that they can be searched and outlive the broker.
create table dead_letters (
  id           bigint generated always as identity primary key,
  road         text not null,
  service      text not null,
  reason       text not null,
  exception    text not null default '',         -- class and innermost place
  fingerprint  text not null,
  envelope     uuid,                             -- null when the envelope could not be read
  body         bytea not null,                   -- the envelope as it travelled
  attempts     int not null,
  first_failed timestamptz not null,
  last_failed  timestamptz not null,
  state        text not null default 'waiting' check (state in ('waiting', 'replayed', 'discarded')),
  note         text not null default '',
  ended_at     timestamptz
);
create index dead_letters_waiting on dead_letters (fingerprint, id) where state = 'waiting';
create index dead_letters_same on dead_letters (fingerprint, last_failed);
create index dead_letters_envelope on dead_letters (envelope);
