-- Grams of some hundred messages are put into the index together: each key is looked up once for all of them.
alter index search_grams set (gin_pending_list_limit = 4096);
