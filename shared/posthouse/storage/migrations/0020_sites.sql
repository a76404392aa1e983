-- Which processes of delivery-remote talk to which sites outside, and what those have said of
-- themselves. Unlogged: after a crash all begin anew.
create unlogged table site_uses (
  site         text not null,
  pod          text not null,                    -- a process, by a name of chance
  used_until   timestamptz not null,             -- it counts as a user until then
  paused_until timestamptz not null,             -- nobody talks to the site before
  trouble      text not null,                    -- what it had said then
  primary key (site, pod)
);
create index site_uses_over on site_uses (greatest(used_until, paused_until));
