import { mount } from 'svelte'
import '../kit/kit.css'
import '../kit/parts.css'
import './play.css'
import Play from './Play.svelte'

mount(Play, { target: document.body })
