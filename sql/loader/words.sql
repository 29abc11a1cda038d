-- Distinct strings of a column, in the order they are numbered: new ones come after old ones.
-- grain: one row per distinct string
-- inputs: {rows}, a relation; {word}, the strings; {version}, the version that brought a row
-- parameters: none
-- output: word; version, the first that brought it
-- order: version, word
SELECT word, min(version) AS version
FROM (SELECT {word} AS word, {version} AS version FROM ({rows}))
WHERE word IS NOT NULL
GROUP BY word
ORDER BY version, word;
