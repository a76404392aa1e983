-- Who may post to a group or alias: addresses, @domain, 'members'; null: everybody.
alter table aliases add column posters text[] check (cardinality(posters) > 0);
