"""Models converted for CTranslate2."""
