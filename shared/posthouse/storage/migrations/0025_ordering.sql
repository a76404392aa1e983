-- What SORT and THREAD go by (RFC 5256, RFC 5957), from the header as the folded text is: made again when a search needs it.
truncate search;

alter table search
  add sent timestamptz,                          -- the Date field; null: INTERNALDATE counts
  add sent_day date,                             -- as written, without its zone (SENTON)
  add subject_s text not null,                   -- base subject; these texts compare by code points (RFC 5051)
  add from_s text not null,
  add to_s text not null,
  add cc_s text not null,
  add from_d text not null,                      -- display values
  add to_d text not null,
  add is_reply boolean not null,
  add ident bigint,                              -- stands for the Message-ID
  add refs bytea not null;                       -- for its ancestors, int8 each, the oldest first
