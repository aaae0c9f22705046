-- What the stream of dead letters was last told of a letter, and which stream that was; null: nothing.
ALTER TABLE eventus.dead_letters ADD COLUMN told text;
