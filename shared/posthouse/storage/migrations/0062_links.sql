-- Lists in DNS are asked about domains that stand in messages, too: those of authors and of links.

alter table list_zones
  drop constraint list_zones_asks_check,
  add constraint list_zones_asks_check check (
      asks <@ array['client', 'sender', 'hello', 'reverse', 'author', 'link'] and asks <> '{}');
