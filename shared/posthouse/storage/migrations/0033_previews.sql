-- The first words of messages (RFC 8970): made when somebody first asks for them, then kept.
create table previews (
  account_id bigint not null,
  content_id bigint not null,
  words      text not null,                        -- empty where there are none
  primary key (account_id, content_id)
);

-- EMAILID and THREADID (RFC 8474 §5). The same octets have the same EMAILID, wherever they were copied to. A thread is
-- the message that its References begin with, so it is the same for all time and in all mailboxes of all users.
create function emailid_of(object_id uuid, prefix bytea) returns text language sql immutable as $$
  select 'M' || encode(substr(sha256(uuid_send(object_id) || prefix), 1, 12), 'hex')
$$;
create function threadid_of(refs bytea, ident bigint, object_id uuid, prefix bytea) returns text language sql immutable as $$
  select 'T' || case when length(refs) > 0 then encode(substr(refs, 1, 8), 'hex')
                     when ident is not null then encode(int8send(ident), 'hex')
                     else encode(substr(sha256(uuid_send(object_id) || prefix), 1, 12), 'hex') end
$$;
