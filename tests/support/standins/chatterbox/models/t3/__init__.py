from .t3 import T3 as T3
