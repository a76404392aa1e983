-- Mail that waits for an operator: what holds it stands in the same lists as what refuses it.

alter table access
  drop constraint access_kind_check,
  add constraint access_kind_check
      check (kind in ('sender', 'author', 'client', 'hello', 'reverse', 'header', 'rule')),
  drop constraint access_action_check,
  add constraint access_action_check check (action in ('allow', 'deny', 'score', 'hold'));
create index access_hold on access (kind) where action = 'hold';
