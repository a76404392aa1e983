-- Allow and deny lists can say all that tables of Postfix do: later, thrown away, except this one.

alter table access
  add column text text not null default '',      -- what a sender is told who is refused
  drop constraint access_kind_check,
  add constraint access_kind_check check (kind in (
      'sender', 'author', 'recipient', 'client', 'hello', 'reverse', 'header', 'rule')),
  drop constraint access_action_check,
  add constraint access_action_check check (action in (
      'allow', 'except', 'deny', 'defer', 'discard', 'score', 'hold'));
