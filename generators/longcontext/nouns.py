"""Common nouns, to make lists and keys of."""

_WORDS = """
apple arrow baker barrel basket beard bell bench bird blanket boat bone book bottle bowl branch bread
bridge broom brush bucket button cabin cage candle carpet castle cattle chain chair cheese church cliff
clock cloud coat coffee coin collar cotton cradle crown curtain desert desk doctor dragon dress drum
eagle engine farmer feather fence field finger flag flower forest fork fountain garden gate glass glove
goat hammer harbour harp hat heart hill honey horse hotel island jacket jewel judge kettle key king
kitchen knife ladder lake lamp leaf lemon letter library lion lock market meadow medal mirror monkey moon
mountain needle nest oven owl paint palace paper parrot path pearl pencil piano pillow pipe planet plate
pocket poet potato prison queen rabbit ribbon ring river road rocket roof rope rose sailor saddle school
scissors shadow sheep ship shirt shoe silver singer snake soldier spoon spring square stable stone stove
street sugar sword table tailor temple tiger tower train tree trumpet tunnel uncle valley violin wagon
wall watch wheel window winter wolf wood wool
"""

NOUNS: tuple[str, ...] = tuple(_WORDS.split())
