-- The value as the witness's type, or NULL where it does not fit: for history views, which must not fail on an old row.
CREATE FUNCTION afterimage.cast_or_null(value text, witness anyelement) RETURNS anyelement
LANGUAGE plpgsql STABLE AS $$
DECLARE
  result witness%TYPE;
BEGIN
  result := value;
  RETURN result;
EXCEPTION WHEN data_exception OR cannot_coerce OR datatype_mismatch THEN
  RETURN NULL;
END
$$;
