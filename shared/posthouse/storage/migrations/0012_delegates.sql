-- Who may send as whom, and on which terms a network relays.

-- Addresses that accounts may send as besides their own. `address` is in the form of Address.key;
-- `*@example.org` stands for all of a domain. It need not be an address of ours.
create table delegates (
  address     text not null,
  account_id  bigint not null references accounts on delete cascade,
  on_behalf   boolean not null default false,    -- Sender names the account
  primary key (account_id, address)
);
create index delegates_address on delegates (address, account_id);

alter table networks
  add relay    boolean not null default true,    -- false: an exception within a larger network
  add senders  text[] not null default '{}';     -- domains its mail may come from; empty: any
