-- A page of messages has as much room as messages: whoever changes the flags of all in it finds places for the new rows
-- beside the old ones (HOT), and no index is touched. With a sixth of it free, as before, that was so for a sixth: to flag
-- a thousand for the first time took two and a half times as long, and wrote twice the log.
-- The price: 205 octets of disk for a message instead of 119, and a million are read whole in 5 % more time.
alter table messages set (fillfactor = 50);
