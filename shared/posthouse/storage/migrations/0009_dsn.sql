-- What senders ask for besides delivery (RFC 3461, RFC 8689). Null is the ordinary case: a null
-- costs no octet and no default has to be written into old rows.

alter table envelopes
  add column envid text,                         -- xtext, as MAIL gave it
  add column ret text,                           -- FULL, HDRS
  add column requiretls boolean;

alter table recipients
  add column notify text,                        -- NEVER, or some of SUCCESS,FAILURE,DELAY
  add column orcpt text,                         -- type;xtext, as RCPT gave it
  add column redistributed boolean;              -- by a group that answers for it: nothing of what
                                                 -- the sender asked for is handed on
