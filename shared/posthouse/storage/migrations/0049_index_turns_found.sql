-- Who has no turn, and whose was lost: found without a look at all that have one.
drop index searchers_behind;
create index searchers_behind on searchers (last_on desc) where below > 0 and turn is null;
create index searchers_turns on searchers (turn) where turn is not null;
