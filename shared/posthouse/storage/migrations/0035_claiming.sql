-- One turn of a process that claims envelopes (`posthouse.storage.ledger.claiming`): gives back the
-- locks of `done`, takes those of `wanted` that are free, and tells what is open of the recipients
-- that are asked about, in one round trip. A lock that was taken is told at least once; n is null if
-- nothing of its recipients is open, or nothing was asked about it.
--
-- Volatile: each statement inside has a snapshot of its own, so the second one sees what the last
-- holder of a lock has committed.
create function claim_turn(done bigint[], wanted bigint[], locks bigint[], days date[], envelopes uuid[], ns int[])
returns table (lock bigint, n int, attempts int, next_attempt_at timestamptz, warned boolean, held boolean,
               via text, verdict text, paused interval)
language plpgsql volatile as $$
declare
    taken bigint[];
begin
    perform pg_advisory_unlock(key) from unnest(done) as k (key);
    select coalesce(array_agg(t.key), '{}') into taken
      from (select key from unnest(wanted) as k (key) where pg_try_advisory_lock(key)) t;
    return query
        select t.key, r.n, r.attempts, r.next_attempt_at, r.warned, r.state = 'held',
               coalesce(r.via, ''), coalesce(r.verdict, ''), coalesce(r.paused, '0')
          from unnest(taken) as t (key)
          left join (unnest(locks, days, envelopes, ns) as k (key, day, envelope, n)
                     join recipients r on r.day = k.day and r.envelope = k.envelope and r.n = k.n
                                      and r.settled_at is null)
            on k.key = t.key
         order by r.day, r.envelope, r.n;
end
$$;
