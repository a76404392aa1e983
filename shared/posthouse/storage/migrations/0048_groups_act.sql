-- Groups (aliases) post and send as their members do one by one (RFC 4314 §2.1, the right p; delegates).

-- The groups that lead to an address, through five of them at most.
create function groups_of(member text) returns setof text language sql stable as $$
  with recursive within (address, depth) as (
    select member, 0
     union
    select a.address, w.depth + 1 from within w join aliases a on lowered(a.targets) @> array[w.address]
     where w.depth < 5
  )
  select distinct address from within where depth > 0
$$;

-- May who submitted a message, or a stranger (empty), post to a mailbox of this ACL by its address?
create function may_post(acl jsonb, poster text) returns boolean language plpgsql stable as $$
declare
  who text[] := array['anyone'];
begin
  if acl is null then return false; end if;
  if poster <> '' then
    who := who || poster;
    if acl::text like '%group:%' then
      who := who || array(select 'group:' || g from groups_of(poster) g);
    end if;
  end if;
  return exists (select from unnest(who) w where acl ->> w like '%p%')
     and not exists (select from unnest(who) w where acl ->> ('-' || w) like '%p%');
end $$;

create table group_delegates (
  address    text not null,                      -- as whom its members may send, as in delegates
  grp        text not null references aliases on delete cascade,
  on_behalf  boolean not null default false,
  primary key (grp, address)
);
