-- What an account sends is looked at over the last 24 hours, not over a day of the calendar: whoever steals
-- an account may begin before midnight. Days are kept for what is usual.

create table outbound_hours (
  account    text not null,
  hour       timestamptz not null,
  messages   bigint not null default 0,
  recipients bigint not null default 0,          -- outside
  strangers  bigint not null default 0,          -- different ones, not written to in the 24 hours before
  failures   bigint not null default 0,          -- refused for good by servers outside
  spam       bigint not null default 0,          -- messages that looked like spam
  logins     bigint not null default 0,          -- that failed, by SMTP, IMAP and POP3
  primary key (account, hour)
) with (fillfactor = 50);                        -- a busy row stays on its page
create index outbound_hours_hour on outbound_hours (hour);
insert into outbound_hours (account, hour, messages, recipients, strangers, failures, spam)
select account, date_trunc('hour', now()), messages, recipients, strangers, failures, spam
  from outbound_days where day = current_date;
alter table outbound_days
  drop column messages, drop column strangers, drop column failures, drop column spam;

-- Whom an account has written to, and when that was counted; a crash of PostgreSQL may forget it.
drop table outbound_strangers;
create unlogged table outbound_strangers (
  account text not null,
  hash    bigint not null,                       -- of a recipient's address
  at      timestamptz not null default now(),
  primary key (account, hash)
);
create index outbound_strangers_at on outbound_strangers (at);

-- What others have seen of an account, on its way into outbound_hours.
alter table outbound_failures
  add column failures int not null default 1,    -- recipients refused
  add column logins   int not null default 0;    -- logins that failed

-- An alarm is raised again after 24 hours, whatever the day.
drop index outbound_alarms_open;
alter table outbound_alarms drop column day;
create index outbound_alarms_open on outbound_alarms (account, rule, at) where cleared_at is null;
