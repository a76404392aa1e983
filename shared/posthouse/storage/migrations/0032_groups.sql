-- Targets of aliases are kept as written; who is in a group is asked in lower case, as addresses are compared.
create function lowered(words text[]) returns text[] language sql immutable as $$
  select coalesce(array_agg(lower(word)), '{}') from unnest(words) word
$$;
drop index aliases_targets;
create index aliases_targets on aliases using gin (lowered(targets));
