-- Collections whose name was in use before: the versions of their items go on where those of the earlier collection
-- ended, so that a key's versions never repeat. A new item begins at base + 1.
CREATE TABLE eventus.lives (
    collection text   PRIMARY KEY,
    base       bigint NOT NULL
);
