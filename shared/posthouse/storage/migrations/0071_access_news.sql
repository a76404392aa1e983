-- What is new in allow and deny lists, for pods that keep which keys there are.

create index access_added on access (added_at) where action <> 'hold';
