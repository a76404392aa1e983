-- A score of a rule that is tried out on real mail beside the one that counts.
alter table rules add column tried_score float8;
