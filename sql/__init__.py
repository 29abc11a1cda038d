"""Every statement the toolkit runs, one file each; read through ``uih_lake.sqlfile``."""
